/**
 * Model families: each builds the graph of its architecture and names its weights. A new one is a small class: see {@link
 * dev.intarsia.model.ModelFamily}.
 */
package dev.intarsia.model;
