"""PDFs that others made: examined and sealed by processes with little memory and little time.

examination   starts an examiner and reads its report
examiner      the program that opens a stranger's PDF; standard library and pyHanko only
sealing       seals a PDF that somebody uploaded
preparer      the program that prepares such a PDF
gap           the place of a signature; nothing else of a file is outside what is signed
"""
