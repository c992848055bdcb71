"""Who may call which provider now: adaptive limits, expiring slots, and how busy a lane is."""
