"""Many machines on one gallery: workers read and store, one decides, PostgreSQL owns the truth.

Who owns what:

- ``worker_sources`` is the list of what is to be read; whoever has the gallery may change it. Passwords are not in it,
  only the names of variables and files that hold them.
- ``leases`` says who reads each of them. A worker takes what nobody has (``FOR UPDATE SKIP LOCKED``), renews it every
  few seconds, and has it until the database's clock says that it has not been renewed for too long. No other clock is
  asked. Taking a lease takes the fence ``source:NAME`` (``gallery.fencing``): from then on nothing that the former
  holder writes of this source is committed, because every transaction looks at its fence first.
- a worker is one process that reads a group of sources. It writes tracklets with their vectors and pictures, a row of
  ``inbox`` for each, how recordings begin and end, and nothing else. All of a batch is one transaction, and the same
  once more changes nothing: a tracklet's id follows from what was read.
- ``checkpoints`` holds what the open tracks of cameras have come to, written every few seconds under the same fence.
  Who takes a camera over stores them as tracks that were cut short, in the transaction that takes the lease. Recordings
  need none: whoever takes one over reads it from its beginning, and stores nothing twice.
- the decider is the gallery's owner (``gallery.ownership``): one process, by token, others stand by. It gives people to
  what is in the inbox, answers the table of commands, and is the only one that adds to the outbox.

The order of things: revisions of rows, and numbers of events, are given out under a lock that is held until the commit,
so that they appear in their order and nobody who follows them passes one that is still to come. A transaction that
stands still in the middle is broken off by the server, so that it holds up the others for a few seconds at most.
"""
