"""Documents written and read: Markdown and data become pages and workbooks, and files of others become text and tables.

`room` is the port; all else lives in the room's process, where a file that is made to harm can harm nothing.
"""
