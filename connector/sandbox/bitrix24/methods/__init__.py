"""The methods of the portal, a module a group; `registry` puts them together."""
