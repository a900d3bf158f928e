"""HTTP: routes render decisions and decide nothing.

routes         the endpoints of a browser
endpoints      the endpoints of programs, on the fast lane
dynamic_http   registration by programs
discovery      what this issuer can do, as others read it
openapi        what each endpoint takes, answers and refuses: one row each, derived
rendering      decisions as answers
cors           which addresses scripts of other origins may call
"""
