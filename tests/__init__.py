"""Tests of the studio; they mirror the tree. A package, so that pytest finds its root."""
