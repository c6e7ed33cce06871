"""Client libraries of the time against releases that Ottla plays: does a client of then find a broker of then?

Each client is a program of a few lines (`speak_*.py`, `Speak.java`) that does what applications do: it makes a topic,
writes, reads in a group, commits, and, where its library knows how, writes in a transaction. It ends with status 0 if
all of it came back as it should, and with a sentence otherwise.
"""
