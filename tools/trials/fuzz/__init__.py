"""Coverage-guided fuzzing of everything that reads foreign bytes.

`trials fuzz` is an outer shell around targets that live beside the code they attack, in the `tests/fuzz` folders of
`kproto`, `storage` and `broker` (kproto/tests/fuzz/families.py says how they are laid out). A target is a function of
bytes that knows what must hold for every input; the default suite plays the kept inputs through it, and needs nothing
of what is here. This package makes new inputs:

* `command.py` is the command: it gives each family its time, one process after the other or several beside each other.
* `hunt.py` is such a process. It loads one target under atheris, which counts the branches that an input takes and
  mutates those inputs that took a new one. A finding does not end it: the input is written down, once for each place
  that complains, and the hunt goes on.
* `branches.py` thins out what a hunt has collected to the inputs that matter, by Python's own tracing, so that a
  corpus fits into the repository.

atheris is an extra (`pip install 'ottla[fuzz]'`) and exists for some platforms and Python versions only.
"""
