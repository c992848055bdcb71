"""Search over one's own conversations, whose content is encrypted: see docs/search.md."""
