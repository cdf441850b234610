"""Where cases are worked on: jobs and answers, processes that work, and how much memory they take together."""
