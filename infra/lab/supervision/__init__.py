"""The process that is the lab, the folder by which others know it, and how it is raised.

The supervisor imports all of the lab; nothing but the lab's commands imports it.
"""
