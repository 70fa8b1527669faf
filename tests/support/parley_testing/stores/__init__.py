"""What both stores hold, and how it got there."""
