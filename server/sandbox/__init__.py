"""A laptop is a whole country: made-up people, and visitors who use the service.

seeds      people, departments, clients, purposes
visitors   a browser and client programs that know addresses, forms and standards, and no package
demo       the whole mission once, in the terminal
"""
