"""Logs over a control plane, which orders, and a bucket, which keeps."""
