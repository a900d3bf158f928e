"""Why a signature is believed: paths to an authority, revocation, time.

evidence       what a file carries so that nobody has to be asked in later years (B-LT)
certificates   certificate paths and time-stamps
checks         the questions every signature is asked, in order
"""
