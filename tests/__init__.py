"""Tests through the front door, on real engines; truth comes from tests.oracle."""
