"""What is in the mail: milters, filters before the queue, content scanning."""
