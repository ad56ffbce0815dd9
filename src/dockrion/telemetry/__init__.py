"""Traces and what models use: the seam that all others tell through, and OpenTelemetry behind it."""
