"""What the loop writes and every reader needs: labels of calls, seeds, schedules and summaries."""
