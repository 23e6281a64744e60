"""What the loop writes and every reader needs: the record, labels of calls, seeds, schedules and summaries."""
