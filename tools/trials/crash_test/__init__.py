"""What the log promises for the worst days, tried out: `python -m tools.trials crash-test TIER`.

Each tier is one kind of accident, played over and over with the question that matters put afterwards: is everything
there that was acknowledged, at its offset, once, and is nothing there that was never written?

=============  ========================================================================================================
`kills`        SIGKILL of a real broker under load (that is `python -m tools.trials kill-test`)
`syscalls`     the process is killed at its Nth system call, or the Nth answers EIO or ENOSPC; N = 1, 2, 3 ...
`exceptions`   an exception at every line of the group commit, the upkeep, an opening and a stop
`sync-order`   a real broker's system calls are read: did each answer to acks=all leave after the sync of its bytes?
`power-cuts`   the power goes, on a disk in memory that keeps of what was not synced what the chance says
`bit-rot`      bits flip, files end early, blocks are zeroed, doubled and swapped
`disk-full`    a real broker fills a small file system, goes on reading, and appends again when there is room
=============  ========================================================================================================

A tier prints what it has counted and every violation, and the exit status is 1 if there is one. A test that cannot
fail shows nothing, so each has a test of its own with a planted bug that it must find
(`tools/tests/trials/crash_test`), and
the tiers notice themselves when they are blind: power cuts that lose nothing where nothing is promised, an audit that
sees fewer answers than the clients got, a disk that never became full, are violations too.

What a tier needs and does not find (strace, the right to mount) is said in one sentence, and the tier is skipped.
docs/crash-tiers.md says what each proves, and the counts of the last full run.
"""
