"""Tests of the drive: chains of steps."""
