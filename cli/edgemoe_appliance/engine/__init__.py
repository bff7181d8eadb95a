"""llama.cpp: its source by pin, its build by profile, its command line, its output.

Knows nothing of experiments, and nothing here decides what is measured.
"""
