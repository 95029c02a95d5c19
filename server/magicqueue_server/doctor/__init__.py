"""`magicqueue doctor`: looks at what a server needs, and has one that runs do a job.

Each check gives findings: what was seen, whether that is well, and what to do if not. None
of them changes anything, and the job that is pushed is settled at once.
"""
