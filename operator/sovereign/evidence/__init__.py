"""What an auditor is shown: a chain of entries, seals over it, and the offline check of both."""
