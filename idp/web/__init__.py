"""HTTP: routes render decisions and decide nothing.

routes         the endpoints of a browser
endpoints      the endpoints of programs, on the fast lane
dynamic_http   registration by programs
discovery      what this issuer can do, as others read it
openapi        the same for the API description
rendering      decisions as answers
cors           which addresses scripts of other origins may call
"""
