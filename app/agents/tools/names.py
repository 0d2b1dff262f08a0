REPLICATE_GENERATE = "replicate_generate"

# The tools that an agent may be given; they run on the server.
SERVER_TOOLS = (REPLICATE_GENERATE,)
