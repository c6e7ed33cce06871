"""Record batch v2: the one form in which records travel and rest.

The same bytes go through Produce, lie in a log's segments and come out of Fetch. A broker touches the 61 bytes of the
header and leaves the rest alone. ``FORMAT.md`` has the byte tables.

* :mod:`~kproto.batches.header` reads and patches it, :mod:`~kproto.batches.validate` judges what a producer sent.
* :mod:`~kproto.batches.record_walk` steps over records without making anything of them,
  :mod:`~kproto.batches.records` builds batches and takes them apart.
* :mod:`~kproto.batches.compression` and :mod:`~kproto.batches.decompression` hold the four codecs.
* :mod:`~kproto.batches.legacy` recognises the message sets that came before.
"""
