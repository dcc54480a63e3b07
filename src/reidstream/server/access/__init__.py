"""Who may do what: users, sessions, tokens, and what they looked at."""
