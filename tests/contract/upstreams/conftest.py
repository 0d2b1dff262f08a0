"""Real servers as upstreams, started from their packages. Starting them takes long, so `make upstreams` runs these."""

import os

collect_ignore = [] if os.environ.get("FULL") == "1" else ["test_litellm.py", "test_llama_cpp.py"]
