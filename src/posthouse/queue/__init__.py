"""Keeps mail until it is delivered (qmgr(8), showq(8)).

How a worker is wired (n is its number, 0..31):

    directory = f"{settings.text('queue_directory')}/posthouse"
    store = SqliteStore(f"{directory}/queue-{n}.sqlite", f"{directory}/spool")    # queue/sqlite.py; raises StoreInUse
    ids = QueueIds(n, long=settings.flag("enable_long_queue_ids"))                # queue/queue_id.py; ids.new()
    qmgr = QueueManager(house, store, settings)                                   # queue/qmgr
    control = QueueControl(house, shares, n)       # queue/control.py; shares() are objects with .store, .queue_manager
    await control.serve()       # opens the sockets that postqueue, postsuper and postcat talk to
    await qmgr.run()            # until qmgr.stop()

Whoever accepts a message awaits store.put(message) and then calls qmgr.admit(message). settings are those of the
service `qmgr` (house.settings_of). Large bodies are written to files in the spool directory before the put.
"""
