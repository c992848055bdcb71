"""What was said in a conversation, as far as its next prompt needs it, sealed and kept in Redis.

Never trusted: an entry that does not open, or that is of another state of the conversation than the
database's row, is as good as none. See docs/context.md.
"""
