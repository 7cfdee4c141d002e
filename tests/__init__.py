"""Tests of the studio; they mirror the tree. A package, so that pytest finds the repository root."""
