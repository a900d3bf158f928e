"""What every page shares: the reader's language, the form tokens, the refusals.

site           what all pages are given: use cases, addresses, languages
page_context   receives a request: who is it, is the form theirs, which page is next
session        form tokens, same-origin checks, safe returns
language       sentences, dates and numbers in the reader's language
render         templates and static files
forms          what a form sends, read strictly
views          values as templates want them
problems       refusals as sentences
addresses      the paths of pages
errors         refusals of the pages themselves
"""
