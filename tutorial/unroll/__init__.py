"""From a call to its loop, and away with it.

unroll.py      from a call's options to the text of its loop
weave.py       makes one function of the loop and of the layers that are on
specialize.py  puts what the call has decided into the loop, and drops what is off
spelling.py    values and names as code
hooks.py       which hook of the loop calls which callback
program.py     Program: a plain loop that can be read, run, changed, saved and proved
beginning.py   where a fit begins: what tells two runs apart
errors.py      what an error in a loop is told with: epoch, step, line, advice
interrupts.py  Ctrl-C ends a loop after its step
script.py      from live objects to source code: a standalone file
objects.py     any object as code: inspect, rebuild and compare it
standard.py    collections, generators, loggers, tables as code
networks.py    a network as code
reparametrized.py  weight_norm and its like as code
optimizers.py  optimizers, schedulers, scalers and loaders as code
source.py      the source of a class or function, and the names it needs
alike.py       whether what the script makes is what ran, part by part
proof.py       runs a script in a fresh process and compares every bit
trace.py       what a run computes step by step: where two runs first differ
replay/        Replay: the first steps of a call, line by line
own_files.py   what a proof writes goes into a directory of its own
"""
