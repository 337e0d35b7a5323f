"""Other frameworks' own parsers and validators, callable on a machine without an accelerator.

Each framework runs in a process of its own (`worker.py`), so that its warnings, prints, exits and global state stay out
of the tests. A framework that is not installed makes its tests skip, or fail where PLANNER_REQUIRE_FRAMEWORKS=1.
"""
