"""Words in, typed specifications out; nothing here loads an array library."""
