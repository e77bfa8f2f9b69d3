"""Who trains: jobs, and the processes that do them."""
