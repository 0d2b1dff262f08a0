import os

# It takes minutes: `make book`. Named, it is collected without the variable, too.
collect_ignore = [] if os.environ.get("FULL") == "1" else ["test_running.py"]
