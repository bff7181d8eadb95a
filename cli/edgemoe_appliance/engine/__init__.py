r"""llama.cpp: its source by pin, its build by profile, its command line, its output.

`source` obtains a verified tree, `build` compiles it with a target's flags and keeps the result by
what went into it, `argv` makes the command line of a run, `stream` and `footer` read what the
program says.

>>> from edgemoe_appliance.engine.footer import parse_footer
>>> footer = parse_footer(
...     "llama_perf_context_print:        load time =     300.00 ms\n"
...     "llama_perf_context_print: prompt eval time =     100.00 ms /    11 tokens\n"
...     "llama_perf_context_print:        eval time =    2000.00 ms /   255 runs\n"
...     "llama_perf_context_print:       total time =    2400.00 ms /   266 tokens\n"
... )
>>> footer.prompt_tokens, footer.generated_tokens
(11, 256)

Knows nothing of experiments, and nothing here decides what is measured.
"""
