"""A register from a file: dry run, second officer, resumable issue.

sheets    CSV as offices write it: encodings, separators, spreadsheet habits
columns   which column is which field, which are ignored or waived
uploads   an uploaded file becomes the rows of a batch, or a list of errors
dry_run   each row checked like a draft; errors by row, column and rule
batches   `Batches`: upload → submit → approve → issue
store     the tables of batches and the questions to them
worker    issues rows in the background, each once
"""
