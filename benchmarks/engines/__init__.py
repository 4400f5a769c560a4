"""What the benchmark `engine` runs: one function for each subject, which takes a number of transactions."""
