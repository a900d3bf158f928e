"""Who may ask: registered programs, and how they prove who they are.

service                `Clients`: registration by an officer; client authentication, one function
administration         looking, changing, suspending, ending; two secrets at once
credentials            what a request says of its client, and what of it may be believed
registration           what a client may be registered with
metadata               the same in the words of RFC 7591
dynamic_registration   a program registers itself, within what an officer allowed (RFC 7591, 7592)
remote_metadata        keys and sector documents that a client keeps at its own address
mtls                   client certificates, believed only from the named hop (RFC 8705, RFC 9440)
"""
