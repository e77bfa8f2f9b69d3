"""Where training happens: jobs, and the executors that run them. Start with `base`."""
