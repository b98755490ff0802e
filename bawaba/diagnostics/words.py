"""What a bottleneck is called, and what can be done about it. The catalogues have the other languages."""

from __future__ import annotations

from bawaba.diagnostics import rules

NAMES = {
    rules.N_PLUS_ONE: "The same question asked again and again",
    rules.SLOW_QUERY: "A slow question to the database",
    rules.WRITER_WAIT: "A wait for the database's writer",
    rules.CONNECTION_WAIT: "A wait for a connection to the database",
    rules.LOCK_WAIT: "A slow change in the database",
    rules.SLOW_COMMIT: "A slow disk",
    rules.DATABASE_RETRY: "The database did not take it at once",
    rules.ROUTER_WAIT: "A wait for the router",
    rules.ROUTER_TURN: "A wait for earlier calls to the router",
    rules.THREAD_WAIT: "A wait for a free thread",
    rules.SLOW_TEMPLATE: "A page that took long to write",
    rules.SLOW_AUTH: "A slow sign-in check",
    rules.LARGE_ANSWER: "A large answer",
}
RECOMMENDATIONS = {
    rules.N_PLUS_ONE: "One statement ran %(times)s times in this request. "
    "Read all of its rows with one statement (a join, or a list of ids). If you did not write it, report it to us.",
    rules.SLOW_QUERY: "A statement took %(ms)s ms. Its plan shows how the database looks for the rows: "
    "a scan of a whole table that grows wants an index; a busy disk wants a faster one.",
    rules.WRITER_WAIT: "Others were writing for %(ms)s ms. If that happens often, something writes much at once "
    "(a large batch, a backup), or the disk is slow; many guests at once are better served by PostgreSQL.",
    rules.CONNECTION_WAIT: "All connections to PostgreSQL were in use for %(ms)s ms. Look for slow statements; "
    "a second server process has connections of its own.",
    rules.LOCK_WAIT: "A change took %(ms)s ms: it waited for another transaction that held the same rows, or for the "
    "disk. Its plan shows whether the search itself is slow.",
    rules.SLOW_COMMIT: "The disk took %(ms)s ms to store this for good. A memory card or a shared disk does that: use "
    "an SSD, and keep backups and logs off the same disk.",
    rules.DATABASE_RETRY: "The database was locked, or its connection lost, %(times)s times. If it stays, look at "
    "the database's own log.",
    rules.ROUTER_WAIT: "The router took %(ms)s ms to answer. Look at its link and its load; a router that is far away "
    "is better reached by a tunnel without loss.",
    rules.ROUTER_TURN: "This call waited %(ms)s ms behind others to the same router. Put bulk work (many cards at "
    "once) at a quiet hour, or spread guests over two routers.",
    rules.THREAD_WAIT: "All web threads were busy for %(ms)s ms. Raise BAWABA_WEB_THREADS, or find what keeps them "
    "busy: the slowest requests of that minute.",
    rules.SLOW_TEMPLATE: "The page took %(ms)s ms to be written. Show fewer rows on it, "
    "with a filter or the next page.",
    rules.SLOW_AUTH: "To check who is asking took %(ms)s ms. Checking a password is slow on purpose; anything else "
    "should use a token or a key instead of signing in each time.",
    rules.LARGE_ANSWER: "The answer has %(kilobytes)s kB. Ask for fewer rows (limit), or for a file.",
}
EVENTS = {
    "request_start": "It arrived",
    "thread_wait": "Waited for a thread",
    "auth_check": "Who is asking",
    "business_logic": "The work itself",
    "writer_wait": "Waited for the writer",
    "connection_wait": "Waited for a connection",
    "database_query": "Asked the database",
    "database_commit": "Stored for good",
    "database_retry": "Tried again",
    "router_turn": "Waited for its turn",
    "router_call": "Asked the router",
    "router_wait": "Waited for the router",
    "template": "Wrote the page",
    "function": "A function",
    "response_sent": "Answered",
}
TABLES = {
    "voucher": "Cards",
    "sale": "Sales",
    "audit_entry": "Audit log",
    "guest_session": "Sessions",
    "router_job": "Work for routers that is done",
    "router_sample": "Looks at routers",
    "notification": "Notifications that are over",
    "idempotency_key": "Answers kept for repeated requests",
    "request_trace": "Requests",
}
