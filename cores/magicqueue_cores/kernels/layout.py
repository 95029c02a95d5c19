"""Where everything lies in the array core's memory: regions, records, fields.

The core's data lie in one reservation of virtual memory, of which only pages that were
written take space. It is seen as three arrays: `w` of 64-bit words, `h` of 32-bit halves,
`b` of bytes. A region's base has the suffix of the view it is for: `JOBS_W` is the word,
`JOBS_H` the half where the job table starts. So a table never moves and never is copied
when it grows, and kernels need three arrays however many tables there are.

Numbers of records start at 1 and fresh memory is zero, so 0 always means "none", and
nothing has to be filled before use.

A job is one cache line. What is rarely looked at (retry policy, losses) is in front of
its payload in the arena; an active job's links chain the jobs of one lease, a ready job's
links chain its run, or are those of a heap if it came back.
"""

from typing import Final

_REGION_ALIGNMENT_BYTES: Final = 1 << 21

SEGMENT_BYTES: Final = 1 << 20
SEGMENT_SHIFT: Final = 17
"""From a block's number (its address in the arena in 8 bytes) to its segment's."""
SEGMENT_FILL_MAX: Final = SEGMENT_BYTES - 16
"""A copy may write 15 bytes too many."""
PAYLOAD_BYTES_MAX: Final = 1 << 16
"""Longer payloads are kept as Python objects."""
BLOCK_HEADER_BYTES: Final = 16

JOBS_MAX: Final = (1 << 30) - (1 << 21)
"""Records of jobs; there are never more levels (but for one a queue), pages or leases."""
SEGMENTS_MAX: Final = (1 << 19) - 2
QUEUES_MAX: Final = (1 << 20) - 2
INPUT_BYTES_MAX: Final = 1 << 28
OUTPUT_BYTES_MAX: Final = 1 << 27
RID_BYTES_MAX: Final = 255
FEEDS_MAX: Final = 256
"""Feeds of one round: lines that arrived on as many connections."""
FEED_BYTES_MAX: Final = 1 << 16
FEEDS_BYTES_MAX: Final = 5 << 16
"""Bytes of one feed, and of a round's feeds together."""
DESCRIPTOR_BITS: Final = 20
"""A connection with a higher descriptor is never received from here."""

SIZES: Final = {
    "STATE": 1 << 21,
    "INPUT": INPUT_BYTES_MAX + 4096,
    "OUTPUT": OUTPUT_BYTES_MAX + 4096,
    "FEEDS": 1 << 21,
    "RECEIVED": FEEDS_BYTES_MAX + 4096,
    "PEERS": 8 << DESCRIPTOR_BITS,
    "SCRATCH": 1 << 33,
    "EVENTS": 1 << 34,
    "NOTES": 1 << 32,
    "QUEUES": 1 << 30,
    "QUEUE_BUCKETS": 1 << 23,
    "SESSIONS": 1 << 28,
    "LEVELS": 1 << 36,
    "LEVEL_BUCKETS": 1 << 32,
    "JOBS": 1 << 36,
    "PAGES": 1 << 34,
    "PAGE_SLOTS": 1 << 38,
    "PAGE_BUCKETS": 1 << 32,
    "LEASES": 1 << 36,
    "LEASE_HEAP": 1 << 34,
    "DELAY_HEAP": 1 << 34,
    "SEGMENTS": 1 << 24,
    "ARENA": 1 << 39,
}


def _bases() -> tuple[dict[str, int], int]:
    bases, end = {}, 0
    for name, size in SIZES.items():
        bases[name] = end
        end += -(-size // _REGION_ALIGNMENT_BYTES) * _REGION_ALIGNMENT_BYTES
    return bases, end


REGIONS, MEMORY_BYTES = _bases()

STACK_B: Final = REGIONS["STATE"] + 8192
"""The kinds of the JSON values that are open, one byte each."""
INPUT_B: Final = REGIONS["INPUT"] + 64
OUTPUT_B: Final = REGIONS["OUTPUT"]
SCRATCH_W: Final = REGIONS["SCRATCH"] // 8
FEEDS_W: Final = REGIONS["FEEDS"] // 8
POLLED_H: Final = (REGIONS["FEEDS"] + (1 << 20)) // 4
"""What epoll_wait fills: three halves an event, the flags and the 64 bits of the caller."""
POLLED_INPUT: Final = 1
"""An event that says nothing but that there are bytes (EPOLLIN)."""
NO_DESCRIPTOR: Final = -1
RECEIVED_B: Final = REGIONS["RECEIVED"] + 64
PEERS_W: Final = REGIONS["PEERS"] // 8
"""For each descriptor the session whose lines may run at once, or 0."""
EVENTS_W: Final = REGIONS["EVENTS"] // 8
NOTES_W: Final = REGIONS["NOTES"] // 8
QUEUES_W: Final = REGIONS["QUEUES"] // 8
QUEUES_B: Final = REGIONS["QUEUES"]
QUEUE_BUCKETS_H: Final = REGIONS["QUEUE_BUCKETS"] // 4
SESSIONS_W: Final = REGIONS["SESSIONS"] // 8
LEVELS_W: Final = REGIONS["LEVELS"] // 8
LEVELS_H: Final = REGIONS["LEVELS"] // 4
LEVEL_BUCKETS_H: Final = REGIONS["LEVEL_BUCKETS"] // 4
JOBS_W: Final = REGIONS["JOBS"] // 8
JOBS_H: Final = REGIONS["JOBS"] // 4
PAGES_W: Final = REGIONS["PAGES"] // 8
PAGES_H: Final = REGIONS["PAGES"] // 4
PAGE_SLOTS_H: Final = REGIONS["PAGE_SLOTS"] // 4
PAGE_BUCKETS_H: Final = REGIONS["PAGE_BUCKETS"] // 4
LEASES_W: Final = REGIONS["LEASES"] // 8
LEASE_HEAP_W: Final = REGIONS["LEASE_HEAP"] // 8
DELAY_HEAP_W: Final = REGIONS["DELAY_HEAP"] // 8
SEGMENTS_W: Final = REGIONS["SEGMENTS"] // 8
ARENA_B: Final = REGIONS["ARENA"]
ARENA_H: Final = REGIONS["ARENA"] // 4
ARENA_W: Final = REGIONS["ARENA"] // 8

# State: single words.
S_NEXT_ID: Final = 0
S_SEQUENCE: Final = 1
S_DEADLINE: Final = 2
S_LIVE: Final = 3
S_DEAD: Final = 4
S_PAYLOAD_BYTES: Final = 5
S_SLOT_FREE: Final = 6
S_SLOT_HIGH: Final = 7
S_LEVEL_FREE: Final = 8
S_LEVEL_HIGH: Final = 9
S_PAGE_FREE: Final = 10
S_PAGE_HIGH: Final = 11
S_LAST_KEY: Final = 12
S_LAST_PAGE: Final = 13
S_LEASE_FREE: Final = 14
S_LEASE_HIGH: Final = 15
S_LEASES: Final = 16
S_DELAYED: Final = 17
S_SEGMENT: Final = 18
S_FILL: Final = 19
S_SEGMENT_FREE: Final = 20
S_SEGMENT_HIGH: Final = 21
S_SEGMENTS_USED: Final = 22
S_BLOCK_BYTES: Final = 23
S_VICTIM: Final = 24
S_VICTIM_FILL: Final = 25
S_CURSOR: Final = 26
S_NOTES: Final = 27
S_EVENTS: Final = 28
S_RECORDING: Final = 29
"""Whether events are noted, and made into bytes (AS_EVENTS, AS_BYTES)."""
S_SEGMENTS_FREE: Final = 30
S_SLOTS_USED: Final = 31
# Totals over all queues, forgotten ones included; active jobs are those that are here.
S_PROCESSING: Final = 41
S_PUSHED: Final = 42
S_COMPLETED: Final = 43
S_FAILED: Final = 44
S_LOST: Final = 45
S_OLDEST_QUEUE: Final = 63
"""The top of the heap of queues in `oldest_queue`."""
S_POLLED: Final = 46
S_POLLED_AT: Final = 47
"""Events of the last poll, and how many of them have been received."""
# Hash tables: number of buckets, the power of two below, number of records.
S_QUEUE_HASH: Final = 32
S_LEVEL_HASH: Final = 35
S_PAGE_HASH: Final = 38
# What Python sets once.
S_JOBS_MAX: Final = 48
S_MEMORY_BYTES_MAX: Final = 49
S_OVERHEAD_BYTES: Final = 50
S_BACKOFF_MAX: Final = 51
S_JOB_BYTES_MAX: Final = 52
S_PUSH_JOBS_MAX: Final = 53
S_PULL_JOBS_MAX: Final = 54
S_REPLY_BYTES_MAX: Final = 55
S_LEASE: Final = 56
S_MAX_ATTEMPTS: Final = 57
S_BACKOFF: Final = 58
S_OUTPUT_SOFT_MAX: Final = 59
# What Python sets now and then.
S_CLOCK_AHEAD: Final = 62
S_HASH_SEED: Final = 60
S_KEPT_BYTES: Final = 61
"""What Python keeps takes this; error texts that a line brings are added at once."""
# What else is counted or noted along.
S_SEGMENTS_BARE: Final = 120
"""Of the free segments, those whose pages the system has."""
S_WOKEN: Final = 122
"""A watched queue that a line just pushed to, or (where it is ruled) settled a job of: no
other line runs before Python has seen."""
S_STALE: Final = 123
"""Entries in the heap of delayed jobs whose job is not delayed until then any more."""
S_MARKED: Final = 124
"""How many jobs are marked."""
S_LENT_FLAGS: Final = 125
"""All flags that any job has of those that `lend` lent."""
S_WHY: Final = 126
"""Why the line was declined that the kernels stopped before: a place in DECLINED."""
S_LISTENED: Final = 127
"""Whether somebody listens to rare turns: then each failure is noted."""
S_DECLINED: Final = 128
"""How many lines were declined, one word a reason."""
S_FIELDS: Final = 144
"""The fields that a command has, as bits, one word a command."""
S_HELD: Final = 119
"""How many jobs are held."""
S_SLOTS_LEFT: Final = 121
"""The last record whose page was ever written, as of when the last job left."""
# The request being read, and where it is answered.
R_COMMAND: Final = 64
R_SEEN: Final = 65
R_QUEUE: Final = 66
R_ROW: Final = 67
"""A single job to push, as a row of the scratch region, or what a PUSHB says of all."""
R_ITEM: Final = 74
"""A single verdict, as an item of the scratch region."""
R_COUNT: Final = 79
"""How many jobs a PULLB asks for."""
R_TIMEOUT: Final = 80
R_LEASE_MS: Final = 81
R_RID: Final = 82
R_RID_BYTES: Final = 83
R_ITEMS: Final = 84
R_ITEMS_AT: Final = 85
R_ITEMS_FIELD: Final = 86
R_INTEGER: Final = 87
R_BIT: Final = 88
R_NOW: Final = 89
R_SESSION: Final = 90
R_STOPPED: Final = 91
"""Where the line starts that was not run."""
R_JOBS_AT: Final = 92
"""Where the jobs of a PUSHB are that have been read, or 0."""
# What `act` gets and gives beside its arguments.
A_UNTIL: Final = 93
"""When the lease ends that V_PULL makes."""
A_BYTES_MAX: Final = 94
"""How many bytes of payloads V_PULL may take."""
A_LEVELS: Final = 95
"""How many levels V_OLDEST looked at."""
A_AFTER: Final = 96
A_AFTER_ID: Final = 97
"""The place in an order behind which V_DELAYED_IN_TURN and V_ACTIVE_IN_TURN tell jobs."""
A_OTHERS_MAX: Final = 98
"""So many jobs of other queues they pass over."""
A_PASSED: Final = 99
"""How many jobs of the queue are not behind that place."""
A_TURN_ENTRY: Final = 100
"""Where the entry of a heap is that comes next."""
A_SCANNED: Final = 101
A_SCAN_END: Final = 102
A_MORE: Final = 103
"""How many jobs V_SCAN_IDS looked at, up to which id, and whether there are more."""

# What lines did, as bytes of a log (see `record_bytes`).
S_RECORDS_BYTES: Final = 96
"""How many there are from the start of scratch on; 0 if Python makes records of events."""
S_RECORDS: Final = 97
S_RECORDS_PROMISED: Final = 98
"""How many records that is, and those of them that are no leases."""
S_RECORDS_LAST_ID: Final = 99
"""The last id that was given in them, or 0."""
S_RECORDS_SPAN: Final = 100
"""How many numbers of the sequence were."""
S_ERROR_CHARS_MAX: Final = 101

# A queue: words, then its name, then the text between id and data in a job's JSON.
QUEUE_WORDS: Final = 128
Q_HASH: Final = 0
Q_NAME_BYTES: Final = 2
Q_TEXT_BYTES: Final = 3
Q_QUEUED: Final = 4
Q_PROCESSING: Final = 5
Q_DELAYED: Final = 6
Q_PAUSED: Final = 7
Q_WATCHED: Final = 8
"""Who has to hear of the queue: WATCHED, somebody waits for its jobs; RULED, pulls of it
are not for kernels; both, whoever waits hears of jobs that leave."""
Q_PUSHED: Final = 9
Q_COMPLETED: Final = 10
Q_FAILED: Final = 11
Q_LOST: Final = 12
Q_LARGE: Final = 13
Q_PAYLOAD_MAX: Final = 14
Q_TOP: Final = 15
Q_LAST_LEVEL: Final = 16
Q_OLDEST: Final = 17
Q_BOUND: Final = 18
Q_BOUND_LEFT: Final = 19
Q_BOUND_RIGHT: Final = 20
Q_BOUND_PARENT: Final = 21
"""A bound on the queue's earliest run_at, and its links (see `oldest_queue`)."""
Q_HELD: Final = 24
Q_NAME_AT: Final = 256
Q_TEXT_AT: Final = 512

WATCHED: Final = 1
RULED: Final = 2

# A session: the first of its leases, and its number.
SESSION_WORDS: Final = 2
N_LEASE: Final = 0
N_NUMBER: Final = 1

# Whatever is in a hash table has its key in word 0 and its chain's next in half 2.
CHAIN_NEXT: Final = 2
# Whatever is in a skew heap has 8 words, its key in word 4, and as halves its parent (0 of
# the root) and its children.
HEAP_KEY: Final = 4
HEAP_PARENT: Final = 13
HEAP_LEFT: Final = 14
HEAP_RIGHT: Final = 15

# A level: the ready jobs of one priority in one queue.
LEVEL_WORDS: Final = 8
LEVEL_HALVES: Final = 16
L_KEY: Final = 0
L_OLDEST_PARENT: Final = 3
L_HEAD: Final = 4
L_TAIL: Final = 5
L_RETURNED: Final = 6
L_OLDEST_LEFT: Final = 7
L_OLDEST: Final = 5
"""Words: the key (queue << 32 | priority + 2^31), and a bound on the level's earliest
run_at (see `oldest`)."""
L_OLDEST_RIGHT: Final = 12

# A job: words, halves.
JOB_WORDS: Final = 8
JOB_HALVES: Final = 16
J_ID: Final = 0
J_BLOCK: Final = 1
J_CREATED: Final = 2
J_RUN_AT: Final = 3
J_SEQUENCE: Final = 4
JH_PRIORITY: Final = 10
JH_ATTEMPTS: Final = 11
JH_META: Final = 12
JH_LEASE: Final = 13
JH_NEXT: Final = 14
JH_PREVIOUS: Final = 15

BLOCK_BITS: Final = 20
"""J_BLOCK is block << 20 | payload bytes."""
BLOCK_MASK: Final = (1 << BLOCK_BITS) - 1

# JH_META is queue << 10 | flags | state.
META_QUEUE_SHIFT: Final = 10
META_STATE: Final = 7
META_JITTER: Final = 8
META_NOTED: Final = 16
"""Python keeps something for this job: an error text, or a long payload."""
META_RETURNED: Final = 32
META_LARGE: Final = 64
META_MOVED: Final = 128
"""Ready beside those that came back, but put there from a log and not by a loss."""
META_COUNTED: Final = 256
"""The job was given back once: Python counts its failures and losses, as of heavy jobs."""
META_MARKED: Final = 512
"""Whoever observes the core is told what befalls the job."""
READY: Final = 0
DELAYED: Final = 1
ACTIVE: Final = 2
DEAD: Final = 3
HELD: Final = 4

# A block's header: halves.
B_JOB: Final = 0
B_SIZES: Final = 1
B_MAX_ATTEMPTS: Final = 2
B_BACKOFF: Final = 3
B_LOST_SHIFT: Final = 17
B_BYTES_MASK: Final = (1 << B_LOST_SHIFT) - 1
LOST_MAX: Final = (1 << 14) - 1
"""A job lost so often, or delivered HEAVY_ATTEMPTS times, is *heavy*: Python counts its
failures and losses on."""
HEAVY_ATTEMPTS: Final = 1 << 30
COUNT_MAX: Final = (1 << 31) - 1

# A page of the id index: 64 jobs.
PAGE_BITS: Final = 6
PAGE_MASK: Final = 63
PAGE_WORDS: Final = 2
PAGE_HALVES: Final = 4
P_COUNT: Final = 3
PAGE_BYTES: Final = 8 * PAGE_WORDS + 4 * (PAGE_MASK + 1) + 4

# A lease: words.
HEAP_ENTRY_BYTES: Final = 16
LEASE_WORDS: Final = 8
G_UNTIL: Final = 0
G_SESSION: Final = 1
G_HEAD: Final = 2
G_COUNT: Final = 3
G_PLACE: Final = 4
G_NEXT: Final = 5
G_PREVIOUS: Final = 6

# A segment of the arena: words.
SEGMENT_WORDS: Final = 4
A_LIVE_BYTES: Final = 0
A_FILL: Final = 1
A_NEXT: Final = 2
A_FREE: Final = 3
FREE_AND_KEPT: Final = 1
FREE_AND_BARE: Final = 2
"""What A_FREE is of a free segment: with the pages it had, or without."""

# A row of a push in the scratch region: words.
ROW_WORDS: Final = 6
X_DATA: Final = 0
X_DATA_BYTES: Final = 1
X_PRIORITY: Final = 2
X_RUN_AT: Final = 3
X_MAX_ATTEMPTS: Final = 4
X_BACKOFF: Final = 5
X_JITTER_BIT: Final = 62
"""X_BACKOFF also has the jitter, as this bit."""

# An item of a verdict in the scratch region: words.
ITEM_WORDS: Final = 4
I_ID: Final = 0
I_ATTEMPT: Final = 1
I_ERROR: Final = 2
I_ERROR_BYTES: Final = 3
ITEMS_MAX: Final = 1 << 20
"""A longer list of verdicts is worked off in parts, so that scratch need not be larger."""

DONE: Final = 0
MISSING: Final = 1
STALE: Final = 2
"""Outcomes of a verdict."""
MISSING_STATE: Final = -1
"""What V_CHOOSE_MANY says of jobs that are not meant."""
DIES: Final = -1
NOT_ACTIVE: Final = -2
"""Outcomes of V_JUDGE that are no time."""

# A note to Python: words (id, error text's place, its bytes).
NOTE_WORDS: Final = 3
NOTE_SETTLED: Final = 0
NOTE_NO_ERROR: Final = -1
NOTE_LOST: Final = -2
NOTE_FAILED: Final = -3
NOTE_PULLED: Final = -4
"""A line leased jobs: the session, and until when. The marked ones of them follow."""
NOTE_LEASED: Final = -5
NOTE_ACKED: Final = -6
"""A line did that to a marked job."""
NOTE_ROOM: Final = -7
"""A job left a queue, whose number this is, that is ruled and watched."""
NOTE_HEARD: Final = -8
"""A line failed a job of the queue of this number, while somebody listens."""

# Kinds of events.
E_PUSHED: Final = 1
E_LEASED: Final = 2
E_EXTENDED: Final = 3
E_ACKED: Final = 4
E_FAILED: Final = 5
E_HEADER_WORDS: Final = 6
E_FAILED_WORDS: Final = 4
"""An item of E_FAILED: the id, when it runs again, the error's place and bytes."""
AS_EVENTS: Final = 1
AS_BYTES: Final = 2

# The list of E_PUSHED is a row if it is one job. Of more it is this: the bytes of all
# payloads, a bit for each field (but for the payload) in which rows differ, the first
# row, then as halves where payloads start and where the last ends, the payloads, and all
# rows if they differ.
P_BYTES: Final = 0
P_MIXED: Final = 1
P_ROW: Final = 2
P_PLACES: Final = P_ROW + ROW_WORDS

# A feed: what one connection sent, how much of it ran, and the replies.
FEED_WORDS: Final = 16
F_DESCRIPTOR: Final = 0
F_SESSION: Final = 1
F_AT: Final = 2
F_BYTES: Final = 3
F_RAN: Final = 4
F_REPLY_AT: Final = 5
F_REPLY_BYTES: Final = 6
F_SENT: Final = 7
F_MARKED: Final = 8

# Commands.
C_PUSH: Final = 1
C_PUSHB: Final = 2
C_PULL: Final = 3
C_PULLB: Final = 4
C_ACK: Final = 5
C_ACKB: Final = 6
C_FAIL: Final = 7
C_FAILB: Final = 8
C_HEARTBEAT: Final = 9

# Why a line is not for kernels.
DECLINED: Final = (
    "not_fast",
    "other_command",
    "unknown_field",
    "unknown_queue",
    "would_wait",
    "watched",
    "marked",
    "large",
    "death",
    "error",
    "ruled",
)
D_COMMAND: Final = 1
D_FIELD: Final = 2
D_QUEUE: Final = 3
D_WAIT: Final = 4
D_WATCHED: Final = 5
D_MARKED: Final = 6
D_LARGE: Final = 7
D_DEATH: Final = 8
D_ERROR: Final = 9
D_RULED: Final = 10

# What `act` does.
V_TELL_JOBS: Final = -1
V_FILL_ROWS: Final = 0
V_FIND: Final = 1
V_JUDGE: Final = 2
V_PUSH: Final = 3
V_PULL: Final = 4
V_ACK: Final = 5
V_HEARTBEAT: Final = 6
V_MATURE_DUE: Final = 7
V_DUE_LEASES: Final = 8
V_SESSION_JOBS: Final = 9
V_OPEN_LEASE: Final = 10
V_LOSE_MANY: Final = 11
V_FIND_MANY: Final = 12
V_RETRY_MANY: Final = 13
V_EXPECT_MANY: Final = 14
V_LEASE_MANY: Final = 15
V_SETTLE_MANY: Final = 16
V_TAKE_DELAYED_MANY: Final = 17
V_RELEASE_MANY: Final = 18
V_POSTPONE: Final = 19
V_RESTORE: Final = 20
V_REBUILD_DELAYED: Final = 21
V_LEND: Final = 22
V_MATURE_MANY: Final = 23
V_FAIL_FOR_GOOD_MANY: Final = 24
V_LOSE_FOR_GOOD_MANY: Final = 25
V_REVIVE_MANY: Final = 26
V_BURY_MANY: Final = 27
V_PROMOTE_MANY: Final = 28
V_REMOVE_MANY: Final = 29
V_DRAIN: Final = 30
V_OLDEST: Final = 31
V_ADD_QUEUE: Final = 32
V_DROP_QUEUE: Final = 33
V_FIRST: Final = 34
V_MEMORY_BYTES: Final = 35
V_OLDEST_OF_ALL: Final = 36
V_TAKE_WAITING_MANY: Final = 37
V_CHOOSE_MANY: Final = 38
V_MARK_MANY: Final = 39
V_REPLACE: Final = 40
V_SWEEP_DELAYED: Final = 41
V_PUSH_HELD: Final = 42
V_HOLD_MANY: Final = 43
V_UNHOLD_MANY: Final = 44
V_TAKE_HELD: Final = 45
V_SCAN_IDS: Final = 46
V_DELAYED_IN_TURN: Final = 47
V_ACTIVE_IN_TURN: Final = 48

ALL_NOW: Final = -1
"""For V_DRAIN, in the place of a sequence number: all that wait now, delayed ones too."""

ABSENT: Final = -(1 << 62)
"""An integer that was not given, or given as null."""
NEVER_MS: Final = (1 << 63) - 1
TIME_MAX_MS: Final = (1 << 53) - 1
