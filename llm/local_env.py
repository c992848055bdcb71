"""What the supervisor and its child agree on; apart, so that neither imports the other."""

# The child finds the key that its clients must show in this environment variable.
API_KEY_VARIABLE = "LOCAL_SERVER_API_KEY"
