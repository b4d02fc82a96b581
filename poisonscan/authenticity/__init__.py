"""Is a folder or a file what its maker signed, and can reading it run code? Nothing is ever executed."""
