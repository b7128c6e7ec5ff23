/** What an engine is made of, as data ({@link dev.intarsia.inspect.ModelReport}) and as a picture. */
package dev.intarsia.inspect;
