"""The composition root: settings become ports, ports and a configuration become a node that answers.

The only room that knows everyone. Whoever needs one file of it takes that one, and so loads no more of the house.
"""
