"""From a call to its loop, and away with it.

specialize.py  puts what the call has decided into the loop, and drops what is off
hooks.py       which hook of the loop calls which callback
program.py     Program: a plain loop that can be read, run, changed, saved and proved
script.py      from live objects back to the code that makes them
objects.py     inspect, rebuild and compare objects
source.py      the source of a class or function, and the names it needs
proof.py       runs a script in a fresh process and compares every bit
"""
