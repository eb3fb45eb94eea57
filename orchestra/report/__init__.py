"""What people read: tables, progress and drawings."""
